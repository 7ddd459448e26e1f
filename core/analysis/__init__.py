"""What predictions and trainings say, as numbers, plain tables and sentences."""
