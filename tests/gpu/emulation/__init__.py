"""A CUDA device that is not there, for tests: `with emulated_device() as device`.

`tensor` has tensors that say they are on cuda:0, `device` runs, checks and counts what is done with them, by the prices
in `costs` and the lines in `counts`; `driver` answers for the CUDA driver, `replacements` for its libraries, and
`guard` makes torch's C++ code believe it.
"""
