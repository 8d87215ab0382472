"""Many runs at once: read fast from their directories, grouped over seeds, compared; without torch."""
