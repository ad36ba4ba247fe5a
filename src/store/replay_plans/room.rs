//! How many of the chosen deliveries one step of a replay requeues.

use uuid::Uuid;

use super::Pair;

/// As many as the rate has room for: whole events, at least one. Where the next look begins.
pub(super) fn within(mut chosen: Vec<Pair>, room: usize, next: Option<Pair>) -> (Vec<Pair>, Option<Pair>) {
    let Some((last, _)) = room.checked_sub(1).and_then(|last| chosen.get(last)).copied() else { return (chosen, next) };
    let end = chosen.partition_point(|(event, _)| *event >= last);
    if end == chosen.len() {
        return (chosen, next);
    }
    chosen.truncate(end);
    // Everything of that event is done.
    (chosen, Some((last, Uuid::nil())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_whole_events_as_far_as_the_rate_has_room() {
        let id = Uuid::from_u128;
        let chosen = vec![(id(9), id(2)), (id(9), id(1)), (id(8), id(1)), (id(7), id(1))];
        let next = Some((id(5), id(5)));
        assert_eq!(within(chosen.clone(), 4, next), (chosen.clone(), next));
        assert_eq!(within(chosen.clone(), 9, None), (chosen.clone(), None));
        assert_eq!(within(chosen.clone(), 1, next), (chosen[..2].to_vec(), Some((id(9), Uuid::nil()))));
        assert_eq!(within(chosen.clone(), 3, None), (chosen[..3].to_vec(), Some((id(8), Uuid::nil()))));
    }
}
