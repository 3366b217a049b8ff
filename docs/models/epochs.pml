/* The life of a threshold root: key generation, resharing, and the retirement of epochs, as src/cluster does them.
 * docs/models/README.md says what the words mean and what is left out; docs/models/check.sh checks it.
 *
 * Outcomes 1 and 2 are two attempts at epoch 1, 3 and 4 at epoch 2, and so on; the lesser one has the lesser digest. Attempts are
 * led at the same time, stop, and go on; messages are late, lost, or come twice; nodes are killed and come back with what is on
 * their disk, which is all that this model has of them.
 *
 * What only makes more possible is taken to happen at once: deals are made, liars lie, certificates are collected. So every
 * run of the real nodes is a run of the model.
 */
#ifndef NODES
#define NODES 4
#endif
#ifndef T
#define T 2
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef LIARS
#define LIARS (T - 1)   /* nodes 0 to LIARS - 1 say that they have stored their share and have not */
#endif
#define BIT(x) (1 << (x))
#define ALL (BIT(NODES) - 1)
#ifdef MOVES
/* Members and threshold change: 0 2 3 4 of two, then 0 1 3 4 5 of three or, in the other attempt, 0 2 3 5 of two, then 0 2 4 5 of
 * two or 0 1 2 3 4 of three. Node 1 may be a liar, too (LIARS=2): where it is a member, three are needed. */
#define OF_TWO(o) ((o) <= 2 || (o) == 4 || (o) == 5)
#define MEMBERS(o) ((o) <= 2 -> 29 : ((o) == 3 -> 59 : ((o) == 4 -> 45 : ((o) == 5 -> 53 : 31))))
#define THRESHOLD(o) (OF_TWO(o) -> 2 : 3)
#define COUNT(o) (OF_TWO(o) -> 4 : 5)
#else
#define MEMBERS(o) ALL
#define THRESHOLD(o) T
#define COUNT(o) NODES
#endif
#ifndef QUORUM
#define QUORUM (2 * THRESHOLD(o) - 1)   /* of outcome o; with NODES for a threshold above half of the nodes, as quorum_of() does */
#endif
#ifndef FIRST
#define FIRST COUNT(o)  /* how many have to store their share of the first epoch */
#endif
#ifdef STRANGERS
#define COUNTED(o) ALL  /* whose word counts in a certificate */
#else
#define COUNTED(o) MEMBERS(o)
#endif
#ifndef PINNED
#define PINNED 1        /* a node stores a share of one first outcome only */
#endif
#ifndef KEEP
#define KEEP 1          /* to put an outcome in force leaves the share of another one of the same epoch where it is */
#endif
#define OUTCOMES (2 * EPOCHS)
#define EPOCH(o) (((o) + 1) / 2)
#define LIES (BIT(LIARS) - 1)

byte before[OUTCOMES + 1];   /* the outcome that it follows; 0: none, or nobody has led it yet */
byte said[OUTCOMES + 1];     /* bits of nodes that say that they have stored their share */
byte holds[NODES];           /* bits of outcomes whose share is on the disk */
byte in_force[NODES];        /* 0: none yet */

inline count(bits, result) {
  result = 0;
  for (k : 0 .. NODES - 1) { if :: ((bits) & BIT(k)) -> result++ :: else fi }
}

inline is_certified(o, result) {
  count((said[o] | LIES) & COUNTED(o), result);
  result = (EPOCH(o) == 1 -> result >= FIRST : result >= QUORUM) && (said[o] != 0)
}

inline check() {
  winner = 0;
  masters = 0;
  for (j : 1 .. OUTCOMES) {
    is_certified(j, yes);
    if
    :: yes ->
      if :: EPOCH(j) == 1 -> masters++ :: else fi;
      if :: winner == 0 || EPOCH(j) > EPOCH(winner) -> winner = j :: else fi
    :: else
    fi
  }
  /* There is one master. */
  assert(masters <= 1);
  /* It can be used for ever: of what all nodes will end with, the latest epoch's lesser outcome, a threshold of honest nodes has
   * shares. */
  holders = 0;
  for (j : LIARS .. NODES - 1) {
    if :: (holds[j] & BIT(winner)) -> holders++ :: else fi;
    /* Whoever has put an epoch in force has forgotten the ones before: stolen shares of theirs stay fewer than a threshold. */
    for (k : 1 .. OUTCOMES) {
      assert(!(holds[j] & BIT(k)) || in_force[j] == 0 || EPOCH(k) >= EPOCH(in_force[j]))
    }
  }
  assert(winner == 0 || holders >= THRESHOLD(winner))
}

active proctype world() {
  byte n, o, k, j, yes, winner, masters, holders;
  do
  :: atomic {
      select(n : LIARS .. NODES - 1);
      select(o : 1 .. OUTCOMES);
      if
      /* A member stores its share of an outcome that follows its epoch in force, and says so. One that joins has heard of that epoch
       * as everybody else does: by its certificate, below. */
      :: (MEMBERS(o) & BIT(n)) && !(said[o] & BIT(n)) && EPOCH(in_force[n]) + 1 == EPOCH(o) &&
         (before[o] == 0 || before[o] == in_force[n]) && (EPOCH(o) > 1 || !PINNED || !(said[3 - o] & BIT(n))) ->
        before[o] = in_force[n];
        holds[n] = holds[n] | BIT(o);
        said[o] = said[o] | BIT(n)

      /* It hears of a certificate, sooner or later, or again. */
      :: in_force[n] != o && (EPOCH(o) > EPOCH(in_force[n]) || (EPOCH(o) == EPOCH(in_force[n]) && o < in_force[n])) ->
        is_certified(o, yes);
        if
        :: yes ->
          in_force[n] = o;
          for (j : 1 .. OUTCOMES) {
            if
            :: EPOCH(j) < EPOCH(o) || (!KEEP && EPOCH(j) == EPOCH(o) && j != o) -> holds[n] = holds[n] & ~BIT(j)
            :: else
            fi
          }
        :: else
        fi
      fi;
      check();
      /* States are what nodes have, not how they came to it. */
      n = 0; o = 0; k = 0; j = 0; yes = 0; winner = 0; masters = 0; holders = 0
    }
  od
}
