#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Regular expressions over a log: captures, alternatives, back-references, substitutions. usage: regex.pl FILE
use strict;
use warnings;

open(my $log, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
my (%by_host, %pairs, $doubled, $digits, $long);
while (my $line = <$log>) {
    chomp $line;
    if ($line =~ /^(\d+)\.(\d{3}) host(\d+) (\w+) (.+?) (\w+) (\d+)$/) {
        my ($host, $thing, $event, $other, $number) = ($3, $4, $5, $6, $7);
        $by_host{$host} += $number;
        $pairs{"$thing $other"}++ if $event =~ /(?:refused|lost|timed out)/;
    }
    $doubled++ if $line =~ /\b(\w+)\b.*\b\1\b/;
    (my $masked = $line) =~ s/(\d)(?=(?:\d{2})+\b)/$1_/g;
    $digits += ($masked =~ tr/_//);
    $long++ if $line =~ /[aeiou][^aeiou ]{2,}[aeiou]?s?\s+(?:by|for|its|in)\b/i;
}
print join(' ', map { "$_=$by_host{$_}" } sort keys %by_host), "\n";
print join(' ', map { "$_=$pairs{$_}" } sort keys %pairs), "\n";
print "$doubled $digits $long\n";
