"""Refines a prompt: versions are scored on one sample, the model proposes the next, and a person approves."""

from airflow.sdk import DAG

from backcast.orchestration.refine_dag import refine_dag, refine_stages

with DAG(**refine_dag()):
    refine_stages()
