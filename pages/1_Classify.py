"""Add photos, box garments, see what each one is and where the network looked."""

from core.ui import shell
from core.ui.classify import intake, workspace

shell.page("Classify")
with shell.errors_shown():
    intake.intake()
    workspace.workspace()
