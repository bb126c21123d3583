//! Several members: lists and tuples.

use futures_util::future::{BoxFuture, try_join, try_join_all, try_join3, try_join4};

use super::{Encoding, Finishing, First, Members, Naming, Reply, Seats, Wanted, private};
use crate::append::InvalidRequest;
use crate::execution::AT_ONCE;
use crate::repository::{EncodeFailure, LoadError};

impl<M: Members> private::Sealed for Vec<M> {}

impl<M: Members> Members for Vec<M> {
    type Drafts = Box<[M::Drafts]>;
    type State = Vec<M::State>;
    type Events = Vec<M::Events>;
    type Version = Vec<M::Version>;
    type Known = Vec<M::Known>;

    fn name(&self, naming: &mut Naming) -> Result<(), InvalidRequest> {
        self.iter().try_for_each(|member| member.name(naming))
    }

    fn load<'a>(
        &'a self,
        before: Option<&'a Vec<M::Known>>,
        wanted: Wanted,
    ) -> BoxFuture<'a, Result<Vec<M::Known>, LoadError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(self.len());
            for members in self.chunks(AT_ONCE) {
                let first = all.len();
                let loads = members.iter().enumerate().map(|(at, member)| {
                    member.load(before.and_then(|known| known.get(first + at)), wanted)
                });
                all.extend(try_join_all(loads).await?);
            }
            Ok(all)
        })
    }

    fn known(&self) -> Option<Vec<M::Known>> {
        self.iter().map(M::known).collect()
    }

    fn count_known(&self) {
        self.iter().for_each(M::count_known);
    }

    fn begin(&self, known: &Vec<M::Known>, seats: &mut Seats) -> Box<[M::Drafts]> {
        self.iter().zip(known).map(|(member, known)| member.begin(known, seats)).collect()
    }

    fn encode(
        &self,
        drafts: Box<[M::Drafts]>,
        encoding: &mut Encoding<'_>,
    ) -> Result<Vec<M::Events>, EncodeFailure> {
        if drafts.len() != self.len() {
            return Err(EncodeFailure::Invalid(InvalidRequest::DraftsMoved));
        }
        self.iter().zip(drafts).map(|(member, draft)| member.encode(draft, encoding)).collect()
    }

    fn recorded<'a>(
        &'a self,
        first: &'a mut First,
    ) -> BoxFuture<'a, Result<Vec<M::Events>, LoadError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(self.len());
            for member in self {
                all.push(member.recorded(first).await?);
            }
            Ok(all)
        })
    }

    fn remember(&self, known: &Vec<M::Known>) {
        self.iter().zip(known).for_each(|(member, known)| member.remember(known));
    }

    fn finish(
        &self,
        known: Vec<M::Known>,
        events: &Vec<M::Events>,
        done: &Finishing<'_>,
    ) -> (Vec<M::State>, Vec<M::Version>) {
        let members = self.iter().zip(known).zip(events);
        members.map(|((member, known), events)| member.finish(known, events, done)).unzip()
    }

    fn is_event(reply: Reply) -> bool {
        M::is_event(reply)
    }
}

macro_rules! tuple_of_members {
    ($join:ident: $($member:ident $at:tt),+) => {
        impl<$($member: Members),+> private::Sealed for ($($member,)+) {}

        impl<$($member: Members),+> Members for ($($member,)+) {
            type Drafts = ($($member::Drafts,)+);
            type State = ($($member::State,)+);
            type Events = ($($member::Events,)+);
            type Version = ($($member::Version,)+);
            type Known = ($($member::Known,)+);

            fn name(&self, naming: &mut Naming) -> Result<(), InvalidRequest> {
                $(self.$at.name(naming)?;)+
                Ok(())
            }

            fn load<'a>(
                &'a self,
                before: Option<&'a Self::Known>,
                wanted: Wanted,
            ) -> BoxFuture<'a, Result<Self::Known, LoadError>> {
                Box::pin($join($(self.$at.load(before.map(|known| &known.$at), wanted)),+))
            }

            fn known(&self) -> Option<Self::Known> {
                Some(($(self.$at.known()?,)+))
            }

            fn count_known(&self) {
                $(self.$at.count_known();)+
            }

            fn begin(&self, known: &Self::Known, seats: &mut Seats) -> Self::Drafts {
                ($(self.$at.begin(&known.$at, seats),)+)
            }

            fn encode(
                &self,
                drafts: Self::Drafts,
                encoding: &mut Encoding<'_>,
            ) -> Result<Self::Events, EncodeFailure> {
                Ok(($(self.$at.encode(drafts.$at, encoding)?,)+))
            }

            fn recorded<'a>(
                &'a self,
                first: &'a mut First,
            ) -> BoxFuture<'a, Result<Self::Events, LoadError>> {
                Box::pin(async move { Ok(($(self.$at.recorded(first).await?,)+)) })
            }

            fn remember(&self, known: &Self::Known) {
                $(self.$at.remember(&known.$at);)+
            }

            fn finish(
                &self,
                known: Self::Known,
                events: &Self::Events,
                done: &Finishing<'_>,
            ) -> (Self::State, Self::Version) {
                let parts = ($(self.$at.finish(known.$at, &events.$at, done),)+);
                (($(parts.$at.0,)+), ($(parts.$at.1,)+))
            }

            fn is_event(reply: Reply) -> bool {
                $($member::is_event(reply))||+
            }
        }
    };
}

tuple_of_members!(try_join: A 0, B 1);
tuple_of_members!(try_join3: A 0, B 1, C 2);
tuple_of_members!(try_join4: A 0, B 1, C 2, D 3);
