"""A report in one of its forms. Deterministic: the same report gives the same bytes. Pure."""

from agent_guard.report.file import Form
from agent_guard.report.html import html
from agent_guard.report.markdown import markdown
from agent_guard.report.model import Report
from agent_guard.report.payload import payload
from agent_guard.report.sections import document


def render(report: Report, form: Form) -> str:
    """The text of the report's file."""
    if form is Form.JSON:
        return payload(report)
    return html(document(report)) if form is Form.HTML else markdown(document(report))
