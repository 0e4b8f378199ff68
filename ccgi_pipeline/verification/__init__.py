"""What is wrong with received records: types, columns, rows, files; findings, verdicts, receipts."""
