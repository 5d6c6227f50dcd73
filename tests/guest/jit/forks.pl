# SPDX-License-Identifier: GPL-2.0-or-later
# A thousand processes that all live at once, each with a child of its own; what they say and how they end adds up.
use strict;
use warnings;

my ($count, $sum, %number) = (1000, 0);
pipe(my $from, my $to) or die "pipe: $!";
pipe(my $gate, my $open) or die "pipe: $!";
for my $i (1 .. $count) {
    my $pid = fork() // die "fork $i: $!";
    if (!$pid) {
        close $open;
        sysread($gate, my $nothing, 1); # until the last was made
        my $child = fork() // die "fork in $i: $!";
        if (!$child) {
            syswrite($to, pack("N", $i * 3));
            exit 7;
        }
        exit(waitpid($child, 0) == $child && $? >> 8 == 7 ? $i % 251 : 255);
    }
    $number{$pid} = $i;
}
close $to;
close $open;
while (sysread($from, my $word, 4)) {
    $sum += unpack("N", $word);
}
while ((my $pid = wait()) > 0) {
    my $i = delete $number{$pid};
    $? >> 8 == $i % 251 or die "child $i ended with $?";
}
die "lost children" if %number;
print "forks $sum\n";
