"""The learner's side: the workbook of kept answers, `check`, and whose part is whose."""
