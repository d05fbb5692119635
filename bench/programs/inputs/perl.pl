# The workload of perl.sh. The argument is the amount of work; 100 is a second or two.
use strict;
use warnings FATAL => 'all';

my $amount = shift;

my $state = 12345;
sub rnd {
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    return ($state >> 8) % $_[0];
}

sub checksum { return unpack '%32C*', join "\n", @_ }

# Words of a language of our own, the short ones frequent.
my @syllables = map { my $c = $_; map { "$c$_" } qw(a e i o u) } qw(b d f g k l m n p r s t);
my @words = map { join '', map { $syllables[rnd(60)] } 1 .. 1 + rnd(4) } 1 .. 5000;

# Count words and their successors: a hash of hashes.
my (%count, %next);
my $last = '';
for (1 .. 4000 * $amount) {
    my $word = $words[rnd(1 + rnd(5000))];
    $count{$word}++;
    $next{$last}{$word}++ if rnd(4);
    $last = $word;
}
my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
my $pairs = 0;
$pairs += keys %{ $next{$_} } for keys %next;
print join(' ', 'count', scalar @top, $pairs, checksum(map { "$_=$count{$_}" } @top)), "\n";

# Records: an array of hashes, sorted by several keys, grouped, partly deleted.
sub record {
    my $id = shift;
    return { id => $id, name => $words[rnd(5000)], size => rnd(1000), tags => [map { $words[rnd(100)] } 1 .. rnd(5)] };
}
my @records = map { record($_) } 1 .. 600 * $amount;
@records = sort { $a->{name} cmp $b->{name} || $b->{size} <=> $a->{size} || $a->{id} <=> $b->{id} } @records;
my %group;
for my $record (@records) {
    push @{ $group{$_} }, $record for @{ $record->{tags} };
}
delete $group{$_} for grep { @{ $group{$_} } % 2 } keys %group;
my @groups = map { my $g = $_; "$g:" . join ',', map { $_->{id} } @{ $group{$g} } } sort keys %group;
print join(' ', 'records', scalar keys %group, checksum(@groups)), "\n";

# Text: a log is written, parsed with regular expressions and rewritten.
my $log = '';
for my $i (1 .. 300 * $amount) {
    $log .= sprintf "2026-%02d-%02d host%d %s[%d]: ", 1 + rnd(12), 1 + rnd(28), rnd(20), $words[rnd(50)], rnd(30000);
    $log .= join(' ', map { $words[rnd(5000)] } 1 .. 3 + rnd(8)) . "\n";
}
my (%host, @found);
while ($log =~ /^(\d+)-(\d+)-\d+ (host\d+) (\w+)\[(\d+)\]: (.*)$/mg) {
    my ($year, $month, $host, $program, $pid, $message) = ($1, $2, $3, $4, $5, $6);
    $host{$host}{$program} += $pid;
    push @found, "$month/$year $message" if $message =~ /(?:ba|di|ku)(\w)\w*\s+\w*\1/;
}
(my $masked = $log) =~ s/(\w+)\[(\d+)\]/'<' . ucfirst($1) . '#' . length($2) . '>'/ge;
my @lines = map { join ' ', reverse split } split /\n/, $masked;
print join(' ', 'log', length $masked, scalar @found, checksum(@found), checksum(@lines),
    checksum(map { my $h = $_; map { "$h.$_=$host{$h}{$_}" } sort keys %{ $host{$h} } } sort keys %host)), "\n";
