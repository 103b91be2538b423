"""How a report is rendered."""

from backcast.reports.json_report import render_json
from backcast.reports.markdown import render_markdown
from backcast.reports.ranking import pays_off_most
from backcast.reports.writing import write_report

__all__ = ["pays_off_most", "render_json", "render_markdown", "write_report"]
