//! The least choice that satisfies every one of some lists of alternatives: a minimum-cost hitting set, exactly.
//!
//! Enters: clauses (sets of numbered things, of each of which one is enough), and what each thing weighs. Leaves: the
//! chosen things, and whether nothing less would do. Must never: take longer than its budget of steps allows; what was
//! not proven is said to be so.
//!
//! The least choice is the one of least weight; among those, of the fewest things; among those, the first one in the
//! order of the numbers (of two choices, the one that has the smallest number that only one of them has). This order
//! is the same whether independent parts are looked at apart or together, so each part is solved by itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Steps of the search over all independent parts. The alternatives of the real API are settled within a few hundred.
pub(super) const BUDGET: usize = 100_000;

/// A choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// What was chosen; satisfies every clause that has alternatives at all.
    pub(super) chosen: BTreeSet<usize>,
    /// No other choice is less.
    pub(super) proven: bool,
}

type Clause = BTreeSet<usize>;

/// The least choice. Empty clauses cannot be satisfied and are left out.
pub(super) fn least(
    clauses: impl IntoIterator<Item = Clause>,
    weight: &dyn Fn(usize) -> u32,
    budget: usize,
) -> Cover {
    let mut clauses: Vec<Clause> = clauses.into_iter().filter(|clause| !clause.is_empty()).collect();
    let mut cover = Cover { chosen: BTreeSet::new(), proven: true };
    reduce(&mut clauses, &mut cover.chosen, weight);
    let mut budget = budget;
    for part in parts(clauses) {
        let mut search = Search { clauses: &part, weight, best: greedy(&part, weight), budget, spent: false };
        let mut chosen = Vec::new();
        search.descend(&mut chosen, &mut BTreeSet::new());
        budget = search.budget;
        cover.proven &= !search.spent;
        cover.chosen.extend(search.best);
    }
    cover
}

/// Takes what has to be taken, and drops what cannot matter, until nothing changes:
/// clauses that are satisfied, clauses that another one implies, and things beside which there is a better one.
fn reduce(clauses: &mut Vec<Clause>, chosen: &mut BTreeSet<usize>, weight: &dyn Fn(usize) -> u32) {
    loop {
        clauses.retain(|clause| clause.is_disjoint(chosen));
        let before = (clauses.len(), clauses.iter().map(BTreeSet::len).sum::<usize>());
        keep_narrowest(clauses);
        drop_dominated(clauses, weight);
        chosen.extend(clauses.iter().filter(|clause| clause.len() == 1).flatten());
        clauses.retain(|clause| clause.is_disjoint(chosen));
        if before == (clauses.len(), clauses.iter().map(BTreeSet::len).sum()) {
            return;
        }
    }
}

/// Whoever satisfies a clause satisfies every wider one.
fn keep_narrowest(clauses: &mut Vec<Clause>) {
    clauses.sort_by_key(BTreeSet::len);
    let mut kept: Vec<Clause> = Vec::with_capacity(clauses.len());
    for clause in clauses.drain(..) {
        if !kept.iter().any(|narrow| narrow.is_subset(&clause)) {
            kept.push(clause);
        }
    }
    *clauses = kept;
}

/// A thing is never part of the least choice if another one satisfies all that it does and comes before it.
fn drop_dominated(clauses: &mut [Clause], weight: &dyn Fn(usize) -> u32) {
    let mut places: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (at, clause) in clauses.iter().enumerate() {
        for &thing in clause {
            places.entry(thing).or_default().insert(at);
        }
    }
    let rank = |thing: usize| (weight(thing), thing);
    let dominated = |(thing, at): &(&usize, &BTreeSet<usize>)| {
        // Whoever is everywhere that it is shares its first clause.
        let first = at.first().and_then(|at| clauses.get(*at));
        first.is_some_and(|clause| {
            clause.iter().any(|other| rank(*other) < rank(**thing) && at.is_subset(&places[other]))
        })
    };
    let worse: BTreeSet<usize> = places.iter().filter(dominated).map(|(thing, _)| *thing).collect();
    for clause in clauses {
        clause.retain(|thing| !worse.contains(thing));
    }
}

/// Clauses that share nothing with the others are a problem of their own.
fn parts(clauses: Vec<Clause>) -> Vec<Vec<Clause>> {
    let mut parts: Vec<(BTreeSet<usize>, Vec<Clause>)> = Vec::new();
    for clause in clauses {
        let (touching, apart): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(things, _)| !things.is_disjoint(&clause));
        let mut joined = (clause.clone(), vec![clause]);
        for (things, clauses) in touching {
            joined.0.extend(things);
            joined.1.extend(clauses);
        }
        parts = apart;
        parts.push(joined);
    }
    parts.into_iter().map(|(_, clauses)| clauses).collect()
}

/// Some choice, quickly: what satisfies most for its weight, again and again.
fn greedy(clauses: &[Clause], weight: &dyn Fn(usize) -> u32) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    loop {
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        for clause in clauses.iter().filter(|clause| clause.is_disjoint(&chosen)) {
            for &thing in clause {
                *open.entry(thing).or_default() += 1;
            }
        }
        let best = open.into_iter().min_by_key(|&(thing, count)| (weight(thing), Reverse(count), thing));
        match best {
            Some((thing, _)) => chosen.insert(thing),
            None => return chosen,
        };
    }
}

/// What a choice costs, up to the order of numbers.
type Price = (u64, usize);

struct Search<'a> {
    clauses: &'a [Clause],
    weight: &'a dyn Fn(usize) -> u32,
    best: BTreeSet<usize>,
    budget: usize,
    spent: bool,
}

impl Search<'_> {
    fn price<'c>(&self, things: impl IntoIterator<Item = &'c usize>) -> Price {
        let weights = things.into_iter().map(|thing| u64::from((self.weight)(*thing)));
        weights.fold((0, 0), |(sum, count), weight| (sum + weight, count + 1))
    }

    /// Goes through every choice that begins with `chosen` and has nothing of `banned`. Each choice is met once: a
    /// branch that takes an alternative bans those before it.
    fn descend(&mut self, chosen: &mut Vec<usize>, banned: &mut BTreeSet<usize>) {
        if self.spent {
            return;
        }
        if self.budget == 0 {
            self.spent = true;
            return;
        }
        self.budget -= 1;
        let mut open: Vec<Vec<usize>> = (self.clauses.iter())
            .filter(|clause| !chosen.iter().any(|thing| clause.contains(thing)))
            .map(|clause| clause.iter().copied().filter(|thing| !banned.contains(thing)).collect())
            .collect();
        let so_far = self.price(&*chosen);
        let best = self.price(&self.best);
        if open.is_empty() {
            let found: BTreeSet<usize> = chosen.iter().copied().collect();
            if so_far < best || (so_far == best && comes_before(&found, &self.best)) {
                self.best = found;
            }
            return;
        }
        open.sort_by_key(Vec::len);
        let least = self.at_least(&open);
        if (so_far.0 + least.0, so_far.1 + least.1) > best {
            return;
        }
        // The clause with the fewest alternatives left; none left: a dead end.
        let Some(clause) = open.first_mut() else { return };
        clause.sort_by_key(|&thing| ((self.weight)(thing), thing));
        let clause = std::mem::take(clause);
        for &thing in &clause {
            chosen.push(thing);
            self.descend(chosen, banned);
            chosen.pop();
            banned.insert(thing);
        }
        for thing in clause {
            banned.remove(&thing);
        }
    }

    /// What any choice for these clauses costs at least: clauses that share nothing each need a thing of their own.
    fn at_least(&self, open: &[Vec<usize>]) -> Price {
        let mut touched = BTreeSet::new();
        let mut price = (0, 0);
        for clause in open {
            if clause.iter().any(|thing| touched.contains(thing)) {
                continue;
            }
            touched.extend(clause.iter().copied());
            let lightest = clause.iter().map(|thing| u64::from((self.weight)(*thing))).min();
            price = (price.0 + lightest.unwrap_or(0), price.1 + 1);
        }
        price
    }
}

/// Whether, of two choices of one price, the first has the smallest number that only one of them has.
fn comes_before(one: &BTreeSet<usize>, other: &BTreeSet<usize>) -> bool {
    one.symmetric_difference(other).next().is_some_and(|thing| one.contains(thing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clauses(lists: &[&[usize]]) -> Vec<Clause> {
        lists.iter().map(|list| list.iter().copied().collect()).collect()
    }

    /// Every subset, compared by the whole cost.
    fn by_trying_all(clauses: &[Clause], weights: &[u32]) -> BTreeSet<usize> {
        let clauses: Vec<&Clause> = clauses.iter().filter(|clause| !clause.is_empty()).collect();
        (0..1_u32 << weights.len())
            .map(|bits| (0..weights.len()).filter(|at| bits >> at & 1 == 1).collect::<BTreeSet<usize>>())
            .filter(|chosen| clauses.iter().all(|clause| !clause.is_disjoint(chosen)))
            .min_by_key(|chosen| {
                let weight: u64 = chosen.iter().map(|at| u64::from(weights[*at])).sum();
                (weight, chosen.len(), chosen.iter().copied().collect::<Vec<_>>())
            })
            .unwrap()
    }

    #[test]
    fn the_order_of_choices_is_weight_then_number_then_name() {
        let weights = [50, 0, 0, 0];
        let cases: [(&[&[usize]], &[usize]); 7] = [
            (&[], &[]),
            (&[&[]], &[]),
            (&[&[0, 1]], &[1]),
            // Two of no weight are less than one that weighs.
            (&[&[0, 1], &[0, 2]], &[1, 2]),
            (&[&[1, 2, 3]], &[1]),
            (&[&[1, 3], &[2, 3]], &[3]),
            (&[&[0], &[0, 1]], &[0]),
        ];
        for (lists, expected) in cases {
            let cover = least(clauses(lists), &|at| weights[at], BUDGET);
            assert_eq!(cover.chosen, expected.iter().copied().collect(), "{lists:?}");
            assert!(cover.proven);
        }
    }

    #[test]
    fn what_is_not_proven_is_said_to_be_so_and_still_satisfies() {
        // A ring of pairs: nothing can be reduced, so it has to be searched.
        let ring: Vec<Clause> = (0..15).map(|at| BTreeSet::from([at, (at + 1) % 15])).collect();
        let proven = least(ring.clone(), &|_| 0, BUDGET);
        assert!(proven.proven);
        assert_eq!(proven.chosen.len(), 8);
        let hasty = least(ring.clone(), &|_| 0, 3);
        assert!(!hasty.proven);
        assert!(ring.iter().all(|clause| !clause.is_disjoint(&hasty.chosen)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_least_choice_is_that_of_trying_all(
            lists in prop::collection::vec(prop::collection::btree_set(0..9_usize, 0..5), 0..9),
            weights in prop::collection::vec(prop::sample::select(vec![0_u32, 0, 1, 25, 100]), 9),
        ) {
            let cover = least(lists.clone(), &|at| weights[at], BUDGET);
            prop_assert!(cover.proven);
            prop_assert_eq!(cover.chosen, by_trying_all(&lists, &weights));
        }
    }
}
