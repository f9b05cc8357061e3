//! Agents on their way out of a bay: chosen once, kept from new work, emptied; and given work again when they stay.

use async_trait::async_trait;

use super::bay_update::{STACK, as_before, refused, stack_id};
use super::stack::{self, AWAIT_STACK};
use crate::bay::parameters;
use crate::bay::scale_down::{self, Member, Standing};
use crate::error::Fault;
use crate::framework::{self, Agent, Census, Closed, Depth, Force, Kill, Means, Selection};
use crate::openstack::{Outputs, Stack};
use crate::operation::progress::{Leaver, Progress, Removal, Repair};
use crate::operation::step::{Answer, Change, Scene, Step, StepError, Undrained};

pub(super) const CHOOSE: &str = "choose";
pub(super) const DRAIN: &str = "drain";
pub(super) const OPEN: &str = "open";

/// How often the masters are asked before it is said that they cannot be: the caller waits for an answer meanwhile.
const ASKS: u32 = 3;

/// After how many milliseconds an update has begun that Heat has taken.
const BEGUN_MS: i64 = 60_000;

/// Decides which agents go, and nothing else: what is done to them begins when the choice is committed.
pub(super) struct ChooseAgents;

#[async_trait]
impl Step for ChooseAgents {
    fn name(&self) -> &'static str {
        CHOOSE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let (bay, before) = (scene.subject, scene.progress.before.as_ref());
        let before = before.and_then(|before| before.node_count);
        let wanted = bay.node_count.unwrap_or_default();
        if scene.progress.repair.is_some() {
            return mark(scene).await;
        }
        if before.is_some_and(|before| before <= wanted) {
            return Ok(Change::step(STACK));
        }
        let id = stack_id(bay)?;
        let credentials = stack::standing(scene)?;
        let shown = scene.cloud.stack_show(&credentials, id, Outputs::Resolve, scene.budget()).await;
        let shown = shown.map_err(|error| refused(&error, id))?;
        let shown = shown.ok_or_else(|| StepError::Fatal(Fault::Internal(stack::missing_stack(id))))?;
        let there = stack::node_count(&shown).or(before).unwrap_or_default();
        let count = usize::try_from(there - wanted).unwrap_or_default();
        if count == 0 {
            return Ok(Change::step(STACK));
        }
        let mut removal = Removal { until_ms: deadline(scene).await?, ..Removal::default() };
        let census = match census(scene).await {
            Ok(census) => Some(census),
            Err(error) if scene.operation.attempts < ASKS => return Err(unanswered(&error)),
            Err(error) => {
                unseen(scene, &mut removal, &error)?;
                None
            }
        };
        choose(scene, &mut removal, &shown, census.as_ref(), count)?;
        let next = if removal.leaving.iter().any(|leaver| leaver.agent.is_some()) { DRAIN } else { STACK };
        Ok(Change::step(next).progress(with(scene, removal)))
    }
}

/// Nobody goes: only what the stack looks like before it is updated is noted.
async fn mark(scene: &Scene<'_>) -> Result<Change, StepError> {
    let id = stack_id(scene.subject)?;
    let credentials = stack::standing(scene)?;
    let shown = scene.cloud.stack_show(&credentials, id, Outputs::Skip, scene.budget()).await;
    let shown = shown.map_err(|error| refused(&error, id))?;
    let shown = shown.ok_or_else(|| StepError::Fatal(Fault::Internal(stack::missing_stack(id))))?;
    let begun_ms = scene.store.now_ms().await?.saturating_add(BEGUN_MS);
    let repair = Some(Repair { updated: stack::updated(&shown), begun_ms });
    Ok(Change::step(STACK).progress(Progress { repair, ..scene.progress.clone() }))
}

async fn deadline(scene: &Scene<'_>) -> Result<i64, StepError> {
    let allowed = i64::try_from(scene.settings.draining.deadline.as_millis()).unwrap_or(i64::MAX);
    Ok(scene.store.now_ms().await?.saturating_add(allowed))
}

async fn census(scene: &Scene<'_>) -> framework::Result<Census> {
    scene.frameworks.agents_of(scene.subject).await?.census(scene.budget()).await
}

fn unanswered(error: &framework::Error) -> StepError {
    let reason = format!("The bay's Mesos masters do not say what runs where: {error}");
    StepError::Retry { fault: Fault::FrameworkUnavailable(reason), after: error.retry_after() }
}

/// Nobody says what runs where: the update goes on without knowing, or not at all.
fn unseen(scene: &Scene<'_>, removal: &mut Removal, error: &framework::Error) -> Result<(), StepError> {
    let reason =
        format!("What runs on the agents was not known, since the Mesos masters did not say: {error}");
    if scene.settings.draining.unreachable == Undrained::Fail {
        return Err(StepError::Fatal(Fault::FrameworkUnavailable(reason)));
    }
    tracing::warn!(%error, "agents go without a look at what they run");
    removal.notes.push(format!("{reason}. The ones with the highest index were removed."));
    Ok(())
}

/// Enters who goes, and what is to be told of it.
fn choose(
    scene: &Scene<'_>,
    removal: &mut Removal,
    shown: &Stack,
    census: Option<&Census>,
    count: usize,
) -> Result<(), StepError> {
    let members = members(shown, census);
    let choice = scale_down::choose(&members, count, &scene.progress.nodes_to_remove)
        .map_err(|fault| StepError::Fatal(Fault::InvalidParameterValue(format!("{fault}."))))?;
    for leaving in choice.leaving {
        let agent = census.and_then(|census| census.at(&leaving.address));
        tracing::info!(agent = leaving.address, why = ?leaving.why, "an agent is chosen to go");
        removal.leaving.push(Leaver {
            agent: agent.map(|agent| agent.id.clone()),
            closed_before: agent.is_some_and(|agent| agent.closed != Closed::No),
            address: leaving.address,
            why: leaving.why,
        });
    }
    if choice.short > 0 {
        tracing::warn!(short = choice.short, "the stack does not name enough agents; Heat chooses the rest");
        let text = format!(
            "{} of the removed agents could not be chosen: the stack did not name them.",
            choice.short
        );
        removal.notes.push(text);
    }
    Ok(())
}

/// The stack's agents in the order of their index.
fn members(shown: &Stack, census: Option<&Census>) -> Vec<Member> {
    let private = parameters::private_agents(&shown.outputs).unwrap_or_default();
    // Where one has no address yet the two lists do not go together.
    let public = parameters::public_agents(&shown.outputs).filter(|public| public.len() == private.len());
    let mut public = public.unwrap_or_default().into_iter();
    let member = |address: String| Member {
        standing: standing(census, &address),
        public_address: public.next(),
        address,
    };
    private.into_iter().map(member).collect()
}

fn standing(census: Option<&Census>, address: &str) -> Standing {
    let Some(census) = census else { return Standing::Unknown };
    match census.at(address) {
        None => Standing::Lost,
        Some(agent) => Standing::Up { tasks: agent.tasks, closed: agent.closed != Closed::No },
    }
}

fn with(scene: &Scene<'_>, removal: Removal) -> Progress {
    Progress { removal: Some(removal), ..scene.progress.clone() }
}

fn removal<'a>(scene: &'a Scene<'_>) -> Result<&'a Removal, StepError> {
    let missing = || StepError::Fatal(Fault::Internal("no agents were chosen".to_owned()));
    scene.progress.removal.as_ref().ok_or_else(missing)
}

/// Keeps the chosen agents from new work and waits until they are empty, or have had their time.
pub(super) struct DrainAgents;

#[async_trait]
impl Step for DrainAgents {
    fn name(&self) -> &'static str {
        DRAIN
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let removal = removal(scene)?;
        let left = match drain(scene, removal).await {
            Ok(busy) if busy.is_empty() => return Ok(Change::proceed()),
            Ok(busy) => busy.iter().map(told).collect::<Vec<_>>().join(", "),
            Err(error) => {
                tracing::info!(%error, "the agents cannot be drained now");
                format!("what is left there is not known: {error}")
            }
        };
        if scene.store.now_ms().await? < removal.until_ms {
            // The caller has waited long enough to hear that it is being done.
            return Ok(Change::again(scene.settings.poll_interval).reply(Answer::Object));
        }
        let seconds = scene.settings.draining.deadline.as_secs_f64();
        let reason = format!("The agents that were to go were not empty within {seconds} s ({left}).");
        tracing::warn!(reason, "the draining of agents is given up");
        if scene.settings.draining.on_deadline == Undrained::Fail {
            return Err(StepError::Fatal(Fault::Conflict(reason)));
        }
        let mut removal = removal.clone();
        removal.notes.push(format!("{reason} They were removed all the same."));
        Ok(Change::proceed().progress(with(scene, removal)))
    }
}

fn told(agent: &Agent) -> String {
    let address = if agent.id.address.is_empty() { &agent.id.hostname } else { &agent.id.address };
    format!("{address}: {} tasks", agent.tasks)
}

/// One round: closes what is open, and says who is not empty.
async fn drain(scene: &Scene<'_>, removal: &Removal) -> framework::Result<Vec<Agent>> {
    let agents = scene.frameworks.agents_of(scene.subject).await?;
    // One that the masters did not know when it was chosen would not be known as ours when it is to be opened.
    let known = || removal.leaving.iter().filter(|leaver| leaver.agent.is_some());
    let there = |census: &Census| -> Vec<Agent> {
        known().filter_map(|leaver| census.at(&leaver.address)).cloned().collect()
    };
    let mut census = agents.census(scene.budget()).await?;
    let chosen = there(&census);
    agents.close(&census, &chosen, scene.budget()).await?;
    if census.means == Means::Drain && chosen.iter().any(|agent| agent.closed == Closed::No) {
        // One that runs nothing is drained by now.
        census = agents.census(scene.budget()).await?;
    }
    let chosen = there(&census);
    let busy =
        |agent: &&Agent| agent.tasks > 0 || (census.means == Means::Drain && agent.closed != Closed::Yes);
    let busy: Vec<Agent> = chosen.iter().filter(busy).cloned().collect();
    if census.means != Means::Drain && !busy.is_empty() {
        move_tasks(scene, &busy).await?;
    }
    if busy.is_empty() {
        agents.shut(&census, &chosen, scene.budget()).await?;
    }
    Ok(busy)
}

/// Has the framework end its tasks on these agents, and start them elsewhere: masters that only announce that an agent
/// goes do not. Tasks of other frameworks have to go by themselves.
async fn move_tasks(scene: &Scene<'_>, agents: &[Agent]) -> framework::Result<()> {
    let framework = match scene.frameworks.of(scene.subject).await {
        Ok(framework) => framework,
        Err(framework::Error::NotSupported { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for app in framework.list(Selection::All, Depth::Tasks, scene.budget()).await? {
        for task in app.tasks.iter().filter(|task| agents.iter().any(|agent| agent.id.is_at(&task.host))) {
            let killed =
                framework.kill_task(&app.id, &task.id, Kill::Replace, Force::Respect, scene.budget()).await;
            match killed {
                Ok(_) | Err(framework::Error::NotFound { .. }) => {}
                // The next round tries again.
                Err(error) => tracing::info!(app = app.id.as_str(), %error, "a task cannot be moved now"),
            }
        }
    }
    Ok(())
}

/// Gives the agents that stay work again, and leaves nothing behind of those that are gone.
pub(super) struct OpenAgents;

#[async_trait]
impl Step for OpenAgents {
    fn name(&self) -> &'static str {
        OPEN
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let removal = removal(scene)?;
        let undone = scene.progress.failure.clone();
        let stay = if undone.is_some() { None } else { stack_agents(scene).await? };
        match open(scene, removal, stay.as_deref()).await {
            Ok(true) => {}
            Ok(false) => {
                let again = Change::again(scene.settings.poll_interval);
                // What is being drained may take long, and the caller need not wait to hear that it was in vain.
                return Ok(match undone {
                    Some(fault) => again.reply(Answer::Fault(fault)),
                    None => again,
                });
            }
            // The agents are gone: what is kept of them is not worth a long wait.
            Err(error) if undone.is_none() && scene.operation.attempts >= ASKS => {
                return Ok(kept_closed(scene, &Fault::FrameworkUnavailable(error.to_string())));
            }
            Err(error) => return Err(unanswered(&error)),
        }
        match undone {
            Some(fault) => Ok(as_before(scene, fault)),
            None => {
                let removal = Removal { opened: true, ..removal.clone() };
                Ok(Change::step(AWAIT_STACK).progress(with(scene, removal)))
            }
        }
    }
}

/// The private addresses of the agents that the stack has now; `None` when it does not tell: then all may be there.
async fn stack_agents(scene: &Scene<'_>) -> Result<Option<Vec<String>>, StepError> {
    let id = stack_id(scene.subject)?;
    let shown = stack::look(scene, id, Outputs::Resolve).await?;
    Ok(shown.and_then(|shown| parameters::private_agents(&shown.outputs)))
}

/// Whether all that is to be opened is open. `stay` are the stack's agents, where only some may be left.
async fn open(scene: &Scene<'_>, removal: &Removal, stay: Option<&[String]>) -> framework::Result<bool> {
    let agents = scene.frameworks.agents_of(scene.subject).await?;
    let census = agents.census(scene.budget()).await?;
    let stays = |address: &String| stay.is_none_or(|stay| stay.contains(address));
    let mut to_open = Vec::new();
    for (leaver, id) in removal.ours() {
        match census.at(&leaver.address) {
            Some(agent) if stays(&leaver.address) => to_open.push(agent.clone()),
            // What is drained for good goes with its agent; a schedule is kept by address.
            _ if census.means == Means::Drain => {}
            _ => to_open.push(Agent { id: id.clone(), tasks: 0, closed: Closed::Yes }),
        }
    }
    agents.open(&census, &to_open, scene.budget()).await?;
    // What is being drained can be opened only when that is over.
    Ok(to_open.iter().all(|agent| agent.closed != Closed::Draining))
}

/// Agents could not be given work again: whoever looks at the bay is told, and it ends as it would have.
pub(super) fn kept_closed(scene: &Scene<'_>, fault: &Fault) -> Change {
    let mut removal = scene.progress.removal.clone().unwrap_or_default();
    let kept: Vec<String> = removal.ours().map(|(leaver, _)| leaver.address.clone()).collect();
    let text = format!("Mesos may still keep work from {}: {fault}", kept.join(", "));
    tracing::warn!(agents = ?kept, %fault, "agents could not be opened again");
    if let Some(first) = &scene.progress.failure {
        return as_before(scene, Fault::Internal(format!("{first} {text}")));
    }
    removal.opened = true;
    removal.notes.push(text);
    Change::step(AWAIT_STACK).progress(with(scene, removal))
}
