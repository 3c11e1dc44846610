"""An audit's report: one file for a reader who never saw the project (start with sections.py).

    chronicle.py   watches the log's rows while the audit reads them, and keeps a bounded part of them
    buckets.py     counts per span of time, in a bounded number of spans
    model.py       all that a report says, as plain values
    timeline.py    what the picture shows, and where
    document.py    what a report is made of, as plain text
    sections.py    what it says; course.py: what happened in time; sentences.py: its sentences
    html.py, markdown.py, payload.py   the three forms; svg.py the pictures of the first
    file.py        the new file, whole or not at all

Pure but for file.py. Everything in it that an agent, a signer or a node wrote is hostile text: `agent_guard.text` makes
it one harmless line, and each form escapes every string for its own syntax where it writes it. Trusts the audit.
"""

from agent_guard.report.chronicle import Chronicle
from agent_guard.report.file import Form, form_of, write
from agent_guard.report.model import Report, Vote
from agent_guard.report.rendering import render

__all__ = ["Chronicle", "Form", "Report", "Vote", "form_of", "render", "write"]
