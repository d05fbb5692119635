#!/bin/bash
# Perl: the benchmark's hashes and texts, small; children, and strings that grow to megabytes.
source "$(dirname "$0")/common.bash"

need perl perl
both perl "$bench/perl.sh" 0.3

cat >"$tmp/children.pl" <<'END'
use strict;
use warnings FATAL => 'all';

my (@all, $text);
for my $child (1 .. 8) {
    my $pid = open(my $from, '-|') // die "fork: $!";
    if (!$pid) {
        my %square = map { $_ => ($_ * $child) ** 2 } 1 .. 20000;
        print "$_ $square{$_}\n" for sort { $square{$a} <=> $square{$b} } keys %square;
        exit 0;
    }
    local $/;
    $text .= <$from>;
    close $from or die "child $child: status $?";
}
push @all, [split] for split /\n/, $text;
my $sum = 0;
$sum = ($sum * 31 + $_->[0] + $_->[1]) % 1000003 for @all;
my $big = join ',', map { $_->[1] x 3 } @all;
substr($big, $_ * 1000, 3) = "<$_>" for 1 .. 2000;
my $reversed = reverse $big x 3;
print join(' ', scalar @all, $sum, length $big, unpack('%32C*', $big)), "\n";
print join(' ', length $reversed, unpack('%32C*', lc $reversed), index($reversed, '>002<')), "\n";
END
both perl perl "$tmp/children.pl"
