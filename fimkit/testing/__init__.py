"""Public doubles, held to the same contract tests as the real parts."""
