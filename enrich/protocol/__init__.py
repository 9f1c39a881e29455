"""Paid once: the decisions of the submission protocol, as generators that yield effects and do no I/O themselves.

The order of their steps is the promise:

1. a group is made (free);
2. the intent is on disk, synced, before a socket is opened;
3. one POST, sent once;
4. its answer is *accepted*, *refused* (nothing was created) or *unknown*; a refusal by quota or credit is believed only
   after a look at the group;
5. an unknown outcome is resolved by complete listings of the group, after a settling time, and never by sending
   again;
6. what once was unknown stays under watch.

What can be kept without an idempotency key: at most one payment for a task if a POST takes effect, and shows in the
listing, within the settling time of being sent. Beyond it each late POST costs its batch once more; that is found, and
reported.

`submit` has steps 1 to 4, `resolve` 5 and 6, `collect` and `reading` bring in the results, `visits` say when a group
is looked at, `course` says what one command does in which order, and the `till` who may spend how much. `effects` are
what they ask for, `replies` what the service gave.
"""
