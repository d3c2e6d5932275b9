"""Floor 3: findings for people and for other systems. Pure."""
