//! Names that somebody may have meant. Pure.

/// How many are suggested.
const SUGGESTIONS_MAX: usize = 3;

/// Those of `known` that are a slip away from `name`, the nearest first.
pub(crate) fn similar_names<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    let slips_max = (name.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let part = lower.len() >= 3 && (other.starts_with(&lower) || lower.starts_with(&other));
            let distance = if part { 1 } else { slips_between(&lower, &other) };
            (distance <= slips_max).then_some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SUGGESTIONS_MAX).map(|(_, candidate)| candidate).collect()
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour to make one of the other.
fn slips_between(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, candidate) in other.iter().enumerate() {
            let mut slips = (last[column] + usize::from(letter != candidate))
                .min(last[column + 1] + 1)
                .min(next[column] + 1);
            let swapped = row > 0 && column > 0 && one[row - 1] == *candidate && *letter == other[column - 1];
            if swapped {
                slips = slips.min(before[column - 1] + 1);
            }
            next.push(slips);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let check = |one, other, expected| assert_eq!(slips_between(one, other), expected, "{one} {other}");
        check("", "", 0);
        check("orders", "orders", 0);
        check("ordrs", "orders", 1);
        check("ordesr", "orders", 1);
        check("oorders", "orders", 1);
        check("ardors", "orders", 2);
        check("", "abc", 3);
    }

    #[test]
    fn near_names_are_suggested_the_nearest_first() {
        let check = |name, known: &[&str], expected: &[&str]| {
            assert_eq!(similar_names(name, known.iter().copied()), expected, "{name}");
        };
        check("ordrs", &["payments", "orders", "order-lines"], &["orders"]);
        check("Orders", &["orders"], &["orders"]);
        check("order", &["order-lines", "orders", "x"], &["order-lines", "orders"]);
        check("x", &["payments", "orders"], &[]);
        check("abc", &["abd", "abe", "abf", "abg"], &["abd", "abe", "abf"]);
    }
}
