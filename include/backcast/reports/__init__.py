"""How a report is rendered."""

from backcast.reports.json_report import render_json
from backcast.reports.markdown import render_markdown
from backcast.reports.ranking import ranked
from backcast.reports.writing import write_report

__all__ = ["ranked", "render_json", "render_markdown", "write_report"]
