//! The cloud: what Keystone and Heat have for the one bay.

/// More stacks than one run can make.
const STACKS: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cloud {
    /// Users of the bay's name.
    pub(crate) users: u8,
    /// Trusts to them.
    pub(crate) trusts: u8,
    /// Requests for a stack that nobody waits for any more and that will arrive.
    pub(crate) late: u8,
    /// Every stack there ever was, by its id.
    stacks: [Stack; STACKS],
    made: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stack {
    #[default]
    Gone,
    Creating,
    Complete,
    Failed,
    Deleting,
    DeleteFailed,
}

impl Cloud {
    pub(crate) fn stack(&self, id: u8) -> Stack {
        self.stacks[usize::from(id)]
    }

    /// How many stacks there are.
    pub(crate) fn count(&self) -> usize {
        self.stacks.iter().filter(|stack| **stack != Stack::Gone).count()
    }

    /// The oldest stack that is not gone.
    pub(crate) fn living(&self) -> Option<u8> {
        (0..self.made).find(|id| self.stack(*id) != Stack::Gone)
    }

    /// The youngest stack that is not gone.
    pub(crate) fn newest(&self) -> Option<u8> {
        (0..self.made).rev().find(|id| self.stack(*id) != Stack::Gone)
    }

    pub(crate) fn make_stack(&mut self) {
        self.stacks[usize::from(self.made)] = Stack::Creating;
        self.made += 1;
    }

    pub(crate) fn delete_stack(&mut self, id: u8) {
        let stack = &mut self.stacks[usize::from(id)];
        if *stack != Stack::Gone {
            *stack = Stack::Deleting;
        }
    }

    /// A user takes the trusts that were given to it along.
    pub(crate) fn delete_user(&mut self) {
        self.users = self.users.saturating_sub(1);
        if self.users == 0 {
            self.trusts = 0;
        }
    }

    /// The stacks that Heat may be done with. A request that nobody waits for arrives before Heat has removed the stack
    /// that another one made: one that came later still would make a stack that nobody knows of.
    pub(crate) fn busy(&self) -> impl Iterator<Item = u8> {
        (0..self.made).filter(|id| match self.stack(*id) {
            Stack::Creating => true,
            Stack::Deleting => self.late == 0,
            Stack::Gone | Stack::Complete | Stack::Failed | Stack::DeleteFailed => false,
        })
    }

    /// What is being done to a stack ends.
    pub(crate) fn settle(&mut self, id: u8, well: bool) {
        let stack = &mut self.stacks[usize::from(id)];
        *stack = match (*stack, well) {
            (Stack::Creating, true) => Stack::Complete,
            (Stack::Creating, false) => Stack::Failed,
            (Stack::Deleting, true) => Stack::Gone,
            (Stack::Deleting, false) => Stack::DeleteFailed,
            (settled, _) => settled,
        };
    }
}
