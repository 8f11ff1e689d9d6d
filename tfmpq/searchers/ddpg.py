"""Deep deterministic policy gradient: actor, critic, and one training step.

Lillicrap et al., "Continuous control with deep reinforcement learning"
(arXiv:1509.02971), algorithm 1. Knows observations, actions and rewards;
nothing of networks to be quantized.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq.searchers.mlp import Mlp
from tfmpq.searchers.replay_buffer import Transition


@dataclasses.dataclass(frozen=True)
class DdpgConfig:
  """Hyperparameters of the agent.

  HAQ's are 1e-4 for the actor's learning rate and 0.01 for tau. Larger ones
  were better on tests/compare_searchers.py with the 200 episodes that we can
  afford; HAQ takes 600.

  Attributes:
    hidden_units: of each hidden layer of actor and critic.
    actor_learning_rate, critic_learning_rate: of Adam.
    target_update_tau: share of the online weights that enters the target
      networks at each training step, 0..1.
    discount: of the next decision's value, 0..1.
    batch_size: transitions per training step.
    logit_penalty: weight of the mean squared logit in the actor's loss. Of
      itself every tensor gains by more bits, so that the actor would want the
      largest width everywhere and its sigmoid saturate; with the penalty an
      action grows with what the critic thinks that the tensor gains.
  """

  hidden_units: tuple[int, ...] = (300, 300)
  actor_learning_rate: float = 3e-4
  critic_learning_rate: float = 1e-3
  target_update_tau: float = 0.05
  discount: float = 1.0
  batch_size: int = 64
  logit_penalty: float = 0.03


@dataclasses.dataclass(frozen=True)
class Losses:
  """Of training steps, each before its update."""

  critic: float
  actor: float


class DdpgAgent:
  """Actor and critic with their targets and optimizers.

  Attributes:
    actor: observation [B, F] -> logit [B, 1]; its sigmoid is the action.
    critic: observation and action [B, F + 1] -> value [B, 1].
    target_actor, target_critic: their slow copies.
  """

  def __init__(
      self, config: DdpgConfig, num_features: int, rng: np.random.Generator
  ):
    self.config = config
    actor_sizes = (num_features, *config.hidden_units, 1)
    critic_sizes = (num_features + 1, *config.hidden_units, 1)
    self.actor = Mlp(actor_sizes, rng)
    self.critic = Mlp(critic_sizes, rng)
    self.target_actor = Mlp(actor_sizes, rng)
    self.target_critic = Mlp(critic_sizes, rng)
    for target, online in self._target_pairs():
      target.assign(online)
    self._actor_optimizer = keras.optimizers.Adam(config.actor_learning_rate)
    self._critic_optimizer = keras.optimizers.Adam(config.critic_learning_rate)
    self._actor_optimizer.build(self.actor.weights)
    self._critic_optimizer.build(self.critic.weights)
    # One trace per agent: its variables are part of the function.
    self._train_steps = tf.function(self._train_on_stack)
    self._imitation_steps = tf.function(self._imitate_on_all)

  def action(self, observation: np.ndarray) -> float:
    """Returns the actor's action in [0, 1] for one observation [F]."""
    return float(1 / (1 + np.exp(-self.actor.on_host(observation)[0])))

  def train(self, batches: Transition) -> Losses:
    """Trains on each of a stack of batches in turn.

    Args:
      batches: with two leading dimensions, [steps, batch_size].

    Returns:
      Mean losses.
    """
    # One call for all steps: on a busy machine each call waits for a thread.
    columns = dataclasses.astuple(batches)
    critic_loss, actor_loss = self._train_steps(*map(tf.constant, columns))
    self.actor.refresh_host_copy()
    return Losses(float(critic_loss), float(actor_loss))

  def imitate(
      self, observations: np.ndarray, actions: np.ndarray, steps: int
  ) -> None:
    """Trains the actor to do what was done elsewhere.

    Args:
      observations: [N, F].
      actions: [N, 1], in [0, 1].
      steps: training steps, each on all of it.
    """
    self._imitation_steps(
        tf.constant(observations, tf.float32),
        tf.constant(actions, tf.float32),
        tf.constant(steps),
    )
    for target, online in zip(
        self.target_actor.weights, self.actor.weights, strict=True
    ):
      target.assign(online)
    self.actor.refresh_host_copy()

  def variables(self) -> list[tf.Variable]:
    """Everything that training changes, in a fixed order."""
    networks = (self.actor, self.critic, self.target_actor, self.target_critic)
    weights = [w for network in networks for w in network.weights]
    return [
        *weights,
        *self._actor_optimizer.variables,
        *self._critic_optimizer.variables,
    ]

  def assign(self, values: Sequence[np.ndarray]) -> None:
    """Sets all `variables`, in their order."""
    for variable, value in zip(self.variables(), values, strict=True):
      variable.assign(value)
    self.actor.refresh_host_copy()

  def td_targets(
      self,
      rewards: tf.Tensor,
      discounts: tf.Tensor,
      next_observations: tf.Tensor,
  ) -> tf.Tensor:
    """Returns reward + discount * target value of the next decision, [B, 1]."""
    next_actions = tf.sigmoid(self.target_actor(next_observations))
    next_values = self.target_critic(
        tf.concat([next_observations, next_actions], axis=1)
    )
    factors = self.config.discount * discounts[:, tf.newaxis]
    return rewards[:, tf.newaxis] + factors * next_values

  def critic_loss(
      self, observations: tf.Tensor, actions: tf.Tensor, td_targets: tf.Tensor
  ) -> tf.Tensor:
    """Returns the mean squared error of the critic's values, []."""
    values = self.critic(tf.concat([observations, actions], axis=1))
    return tf.reduce_mean(tf.square(td_targets - values))

  def actor_loss(self, observations: tf.Tensor) -> tf.Tensor:
    """Returns minus the mean value of the actor's actions + penalty, []."""
    logits = self.actor(observations)
    inputs = tf.concat([observations, tf.sigmoid(logits)], axis=1)
    penalty = self.config.logit_penalty * tf.reduce_mean(tf.square(logits))
    return penalty - tf.reduce_mean(self.critic(inputs))

  def _imitate_on_all(self, observations, actions, steps):
    for _ in tf.range(steps):
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(
                actions, self.actor(observations)
            )
        )
      gradients = tape.gradient(loss, self.actor.weights)
      _descend(self._actor_optimizer, gradients, self.actor.weights)

  def _train_on_stack(self, *columns):
    num_steps = tf.shape(columns[0])[0]
    critic_loss, actor_loss = tf.constant(0.0), tf.constant(0.0)
    for step in tf.range(num_steps):
      losses = self._train_step(*(column[step] for column in columns))
      critic_loss += losses[0]
      actor_loss += losses[1]
    count = tf.cast(num_steps, tf.float32)
    return critic_loss / count, actor_loss / count

  def _train_step(
      self, observations, actions, rewards, discounts, next_observations
  ):
    td_targets = self.td_targets(rewards, discounts, next_observations)
    with tf.GradientTape() as tape:
      critic_loss = self.critic_loss(observations, actions, td_targets)
    _descend(
        self._critic_optimizer,
        tape.gradient(critic_loss, self.critic.weights),
        self.critic.weights,
    )
    with tf.GradientTape() as tape:
      actor_loss = self.actor_loss(observations)
    _descend(
        self._actor_optimizer,
        tape.gradient(actor_loss, self.actor.weights),
        self.actor.weights,
    )
    self._update_targets()
    return critic_loss, actor_loss

  def _update_targets(self) -> None:
    """target = (1 - tau) * target + tau * online."""
    tau = self.config.target_update_tau
    for target, online in self._target_pairs():
      target.assign_add(tau * (online - target))

  def _target_pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
    """Returns (target, online) of every weight."""
    targets = [*self.target_actor.weights, *self.target_critic.weights]
    online = [*self.actor.weights, *self.critic.weights]
    return list(zip(targets, online, strict=True))


def _descend(optimizer, gradients, weights) -> None:
  optimizer.apply_gradients(zip(gradients, weights, strict=True))
