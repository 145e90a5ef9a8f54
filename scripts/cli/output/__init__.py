"""What commands print: tables, reports and live progress for people, JSON for programs."""
