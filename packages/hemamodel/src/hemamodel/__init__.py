"""Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images."""
