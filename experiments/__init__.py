"""What the reports ask and what came out: declarations (*.mk), claims, tables, figures, pages, run folders."""
