"""Learns, in PyTorch, which is imported here and nowhere else.

network       the torch module and its initial weights
hardware      device, precision and threads
optimization  optimizer, schedule
learner       one step of learning, one pass of validation
plan          how many steps, from the text's size and the budget
loop          runs the plan and yields what happens; prints nothing
"""
