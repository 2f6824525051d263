"""A front end for the NASM language, for machines where NASM itself is not installed.

Read in this order: `expressions` (tokens and values), `preprocessor` (`%` directives and macros), `operands`,
`forms` and `encoder` (integer instructions), `fallback` (everything else, by Keystone and checked by Capstone),
`assembler` (sections, labels, directives, passes).
"""
