"""What is wrong with received records: types, columns, rows, files; verdicts and receipts."""
