//! Fair shares of a resource that tenants use together: slots, bytes, lookups, lanes.
//!
//! A tenant may take one more while it has less than m times what is free, even if no other waits. One tenant gets at
//! most m/(m + 1); k tenants leave 1/(mk + 1) free.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share(pub usize);

impl Share {
    pub(crate) fn allows(self, used: usize, free: usize) -> bool {
        used < self.0.saturating_mul(free)
    }

    /// How many more a tenant with `used` may take.
    pub(crate) fn allowance(self, used: usize, free: usize) -> usize {
        // The i-th more is allowed while used + i < m (free - i).
        self.0.saturating_mul(free).saturating_sub(used).div_ceil(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_tenant_alone_gets_four_fifths_and_three_leave_a_thirteenth() {
        let share = Share(4);
        assert_eq!(share.allowance(0, 2_048), 1_639);
        let mut used = [0; 3];
        let mut free = 2_048;
        while let Some(tenant) = used.iter_mut().min().filter(|used| share.allows(**used, free)) {
            *tenant += 1;
            free -= 1;
        }
        assert!((2_048 / 13 - 1..=2_048 / 13 + 1).contains(&free), "{free}");
    }

    proptest! {
        #[test]
        fn the_allowance_is_what_can_be_taken_one_after_the_other(
            multiple in 1_usize..8,
            used in 0_usize..3_000,
            free in 0_usize..3_000,
        ) {
            let share = Share(multiple);
            let taken = (0..free).take_while(|taken| share.allows(used + taken, free - taken)).count();
            prop_assert_eq!(share.allowance(used, free), taken);
        }
    }
}
