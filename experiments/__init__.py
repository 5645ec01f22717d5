"""What the reports ask and what came out: declarations (*.mk), claims, tables, figures, pages, and the keeper of run folders."""
