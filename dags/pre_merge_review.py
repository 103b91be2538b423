"""Reviews what a branch changes before it is merged, synchronously, when somebody asks for it."""

from airflow.sdk import DAG

from backcast.orchestration.review_dag import review, review_dag

with DAG(**review_dag()):
    review()
