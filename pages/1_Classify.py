"""Add photos, box garments, see what each one is and where the network looked."""

from core.ui import server, session, shell
from core.ui.classify import intake, workspace

shell.page("Classify")
with shell.errors_shown(), server.turns.taken(session.visitor()):
    intake.take_in()
    intake.head()
workspace.workspace()
