"""What an event is, how events add up, and what the totals say: pure values, no I/O, no clock."""
