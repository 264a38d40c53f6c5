"""Tags: their sources, and the calibration of confidences."""
