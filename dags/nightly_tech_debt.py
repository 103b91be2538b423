"""Reviews a git repository for technical debt every night, at batch price."""

from airflow.sdk import DAG

from backcast.orchestration.batch_dag import batch_dag, batch_stages

with DAG(**batch_dag("nightly_tech_debt")):
    batch_stages("nightly_tech_debt")
