# SPDX-License-Identifier: MIT
"""Takes each check, bound, budget and barrier out of the sources, one by one, and asks the tests to notice.

find.py      the places, found in the source by what they look like
schemata.py  all changes of a file in one program
objects.py   whether a change changes machine code at all
judges.py    which tests try a changed file, cheapest first
verdicts.py  what is known of each, from run to run
mutants.toml what no test notices, each with the reason
"""
