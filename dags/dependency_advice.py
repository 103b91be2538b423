"""Advises every week on a repository's dependencies, synchronously, since the model looks into it by tools."""

from airflow.sdk import DAG

from backcast.orchestration.advice_dag import advice_dag, advise

with DAG(**advice_dag()):
    advise()
