"""Scores of samples: tensors in, floats out. `entries` lists them; the features come from an extractor elsewhere."""
