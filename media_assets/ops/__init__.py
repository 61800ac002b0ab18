"""What watches over the work: alerts."""
