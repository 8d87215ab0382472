"""How often the doctor is right: runs whose outcome is known from their settings, and the verdicts on them.

python -m benchmarks.doctor
"""
