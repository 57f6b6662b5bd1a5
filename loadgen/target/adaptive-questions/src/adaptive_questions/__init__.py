"""adaptive_questions."""
