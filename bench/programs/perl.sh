#!/bin/bash
# Perl: hashes, sorting, regular expressions, text.
source "$(dirname "$0")/common.bash"

need perl perl
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
measured perl "$inputs/perl.pl" "$(scaled 100)"
