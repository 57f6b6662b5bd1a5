"""llm_simulator."""
