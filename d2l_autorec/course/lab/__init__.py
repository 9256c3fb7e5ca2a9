"""The lab: a page on which a class trains AutoRec, watches the curve and rates films.

`material` holds what all visitors share, `trainings` trains for several of them at once, `advice`
turns ratings into recommendations. `page` and `charts` are what a visitor sees, written with
NiceGUI; `run` serves it. MXNet is not needed.
"""
