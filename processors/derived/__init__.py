"""What the stages behind the factors share: averages that weigh time, where a log was left, fees, times of the wire."""
