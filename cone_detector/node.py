# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: a lifecycle node around the pipeline, which configures and activates itself unless told otherwise.

A fault at start (no engine, a wrong manifest, a parameter out of range) is one clear message. A node that starts by
itself then ends with exit code 1, so that launch shows it; one that waits for a lifecycle manager (`autostart` false)
stays unconfigured, says so on /diagnostics, and may be configured again. A fault later costs a frame and is reported.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from time import monotonic

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from cone_detector.adaptive import make_policy
from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import ManifestError
from cone_detector.engine.select import on_cpu
from cone_detector.paths import shared
from cone_detector.pipeline import Pipeline
from cone_detector.process import limit_opencv_threads, settle_garbage
from cone_detector.ros.announcer import Announcer
from cone_detector.ros.diagnostics import Reporter, Snapshot
from cone_detector.ros.loading import EngineLoading, Loaded, Loader
from cone_detector.ros.malloc import keep_large_buffers
from cone_detector.ros.parameters import NodeParameters
from cone_detector.ros.qos import QUIET_PUBLISHER, RESULT_QOS
from cone_detector.ros.recovery import Recovery, SessionEndedError
from cone_detector.ros.session import Session, load_engine
from cone_detector.ros.statistics import Statistics
from cone_detector.settings import SettingError, Settings

_REPORT_PERIOD_S = 1.0
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ConeDetectorNode(LifecycleNode):
    """Detects cones in stereo images. Raises SettingError where a parameter given at start is not allowed."""

    def __init__(self, load: Loader = load_engine) -> None:
        """load: where engines come from; a benchmark of the node brings its own."""
        super().__init__("cone_detector", automatically_declare_parameters_from_overrides=True)
        self._loading = EngineLoading(load, self._wake)
        self._session: Session | None = None
        self._hung: list[Pipeline] = []
        self._parameters_table = NodeParameters(
            self, lambda: self._session is not None, self._check_settings, self._on_settings
        )
        self._statistics = Statistics()
        self._reporter = Reporter(monotonic())
        self._announcer = Announcer()
        self.startup_fault = ""
        for line in self._parameters_table.unknown:
            self.get_logger().warning(line)
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", RESULT_QOS, event_callbacks=QUIET_PUBLISHER
        )
        # Steady: a simulated clock that stands still must not silence the report that says so.
        self.create_timer(_REPORT_PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(SetBool, "~/enable", self._on_enable)
        # A group of its own: while engines load, all other callbacks go on.
        group = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/reload", self._on_reload, callback_group=group)
        self._recovery = Recovery(self.create_guard_condition(self._recover, callback_group=group).trigger)

    @property
    def autostart(self) -> bool:
        """Whether the node is to configure and activate itself."""
        return self._parameters_table.settings["autostart"]

    @property
    def held_up(self) -> bool:
        """Whether a runtime is at work that cannot be stopped: it loads engines, or hangs in a pass."""
        return self._loading.busy or any(pipeline.running for pipeline in self._hung)

    def start(self) -> bool:
        """Configures and activates; False where that failed, and `startup_fault` says why."""
        return self.trigger_configure() == _SUCCESS and self.trigger_activate() == _SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return super().on_configure(state) if self._attempt(self._configure) else _FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return super().on_activate(state) if self._attempt(self._current().open) else _FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._tidy(self._current().close)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.end()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.end()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        # The state after this one is unconfigured: nothing that was configured may be left.
        self.end()
        return super().on_error(state)

    def end(self) -> None:
        """Frees the engine and all that was configured."""
        session, self._session = self._session, None
        if session is not None:
            self._tidy(session.end)
            if session.pipeline.running:
                self._hung.append(session.pipeline)
                self.get_logger().error("clean-up: a pass hangs: its engine keeps its memory until it ends")

    def _tidy(self, step: Callable[[], None]) -> None:
        """What cannot be taken back is reported, and holds up nothing: rclpy would drop what a transition raises."""
        try:
            step()
        except Exception as error:
            self.get_logger().error(f"clean-up: {type(error).__name__}: {error}")

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Whether `step` succeeded. Where not, why is logged and kept: rclpy drops what a transition raises."""
        try:
            step()
        except (EngineError, ManifestError, SettingError) as error:
            self.startup_fault = str(error)
        except Exception as error:
            if not self.context.ok():
                return False  # stopped while it started
            self.get_logger().error(traceback.format_exc())
            self.startup_fault = " ".join(f"{type(error).__name__}: {error}".split())
        else:
            self.startup_fault = ""
            return True
        self.get_logger().fatal(f"cannot start: {self.startup_fault}")
        return False

    def _configure(self) -> None:
        settings = self._parameters_table.settings
        loaded, recovery = self._first_engine(settings)
        try:
            self._session = Session(self, settings, self._statistics, loaded, self._recovery.note)
        except Exception:
            loaded[0].close()
            raise
        settle_garbage()
        self._log_engine(loaded)
        if recovery:
            self._session.recovery = recovery
            self.get_logger().error(f"engine: {recovery}")

    def _first_engine(self, settings: Settings) -> tuple[Loaded, str]:
        """The engine that the settings ask for; where it does not open and they allow it, one for the CPU, and why."""
        try:
            return self._loading.load(settings, self.context.ok), ""
        except EngineError as error:
            instead = on_cpu(settings)
            if instead is None:
                raise
            try:
                loaded = self._loading.load(instead, self.context.ok)
            except (EngineError, ManifestError):
                raise error from None
            return loaded, f"started with {loaded[1]}, on {loaded[0].device}, after: {error}"

    def _current(self) -> Session:
        if self._session is None:
            raise RuntimeError("the node is not configured")
        return self._session

    def _check_settings(self, settings: Settings) -> None:
        """Raises SettingError where the engines in use lack a pass that the policy needs."""
        if self._session is not None:
            make_policy(settings, self._session.pipeline.detector.engine.manifests)

    def _on_settings(self, settings: Settings) -> None:
        if self._session is not None:
            self._session.settings = settings

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._session is None:
            response.message = "the node is not configured: nothing to enable"
            return response
        self._session.inputs.enabled = request.data
        response.success = True
        response.message = "detection is enabled" if request.data else "detection is disabled: images are discarded"
        self.get_logger().info(response.message)
        return response

    async def _on_reload(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        session = self._session
        if session is None:
            response.message = "the node is not configured: configure loads the engines"
            return response
        try:
            loaded = await self._loading.begin(self._parameters_table.settings)
            self._swap(session, loaded)
        except SessionEndedError as error:
            response.message = str(error)
        except Exception as error:  # whatever it is, who asked for the reload is told
            response.message = f"the old engine stays: {error}"
            self.get_logger().error(f"reload failed, {response.message}")
        else:
            response.success, response.message = True, f"{loaded[1]}, on {loaded[0].device}"
        return response

    async def _recover(self) -> None:
        """Replaces an engine that failed while it served."""
        session = self._session
        if session is None:
            self._recovery.dismiss()
            return

        async def load_for_session(settings: Settings) -> Loaded:
            self._check_current(session)
            return await self._loading.begin(settings)

        settings = self._parameters_table.settings
        outcome = await self._recovery.run(settings, load_for_session, lambda loaded: self._swap(session, loaded))
        if outcome:
            session.recovery = outcome
            self.get_logger().error(f"engine: {outcome}")

    def _swap(self, session: Session, loaded: Loaded) -> None:
        """Puts a loaded engine to work. Raises SettingError or SessionEndedError where it cannot; it is closed then."""
        try:
            self._check_current(session)
            session.swap(loaded)
        except (SettingError, SessionEndedError):
            loaded[0].close()
            raise
        self._log_engine(loaded)

    def _check_current(self, session: Session) -> None:
        """Raises SessionEndedError where `session` is no longer the one in use."""
        if self._session is not session:
            raise SessionEndedError("the node was cleaned up meanwhile")

    def _wake(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    def _log_engine(self, loaded: Loaded) -> None:
        engine, choice = loaded
        self.get_logger().info(f"engine: {choice}, on {engine.device}")
        for note in engine.notes:
            self.get_logger().warning(f"engine: {note}")

    def _report(self) -> None:
        statuses = self._reporter.report(self._snapshot(), monotonic())
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        for status in self._announcer.news(statuses):
            self._log(status)

    def _log(self, status: DiagnosticStatus) -> None:
        text = f"{status.name.removeprefix('cone_detector: ')}: {status.message}"
        if status.level == DiagnosticStatus.ERROR:
            self.get_logger().error(text)
        elif status.level == DiagnosticStatus.WARN:
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)

    def _snapshot(self) -> Snapshot:
        session, settings = self._session, self._parameters_table.settings
        state = self._state_machine.current_state[1]
        if session is None:
            return Snapshot(state, self.startup_fault, self._statistics)
        return Snapshot(
            state,
            self.startup_fault,
            self._statistics,
            enabled=session.inputs.enabled,
            engine=session.pipeline.detector.engine,
            choice=session.choice,
            recovery=session.recovery,
            counts=session.counts,
            streams=session.inputs.streams,
            no_cones_reason=session.take_no_cones_reason(),
            frame_reason=session.placement.reason(session.camera_frame),
            target_frame=settings["stereo.target_frame"],
            tolerance_ms=settings["sync.tolerance_ms"],
            misfits=session.inputs.misfits(),
            missing=session.inputs.missing(),
            profile=str(shared("config") / "fastdds_shm.xml"),
        )


def main(args: list[str] | None = None, make_node: Callable[[], ConeDetectorNode] = ConeDetectorNode) -> int:
    """Runs the node until SIGINT or SIGTERM; returns the process exit code. make_node: what a benchmark replaces."""
    keep_large_buffers()
    limit_opencv_threads()
    # KeyboardInterrupt strikes anywhere, also inside a call into C++, which then fails in its own way. rclpy's handler,
    # which comes before this one, ends the executor between two callbacks.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=args)
    except RuntimeError as error:  # an argument or a parameter file that ROS cannot read, in its own words
        print(f"cone_detector cannot start: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    node: ConeDetectorNode | None = None
    executor: SingleThreadedExecutor | None = None
    code = 0
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        if node.autostart and not node.start():
            code = 1 if rclpy.ok() else 0
        else:
            executor.spin()
    except SettingError as error:
        rclpy.logging.get_logger("cone_detector").fatal(f"cannot start: {error}")
        code = 1
    except Exception:
        # Once a signal has shut ROS down, whatever is still at work fails: that is no fault.
        if rclpy.ok():
            raise
    finally:
        # launch sends SIGINT to the whole group and then once more: the second one must not cut the clean-up short.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.end()
            node.destroy_node()
        if executor is not None:
            # Left to the garbage collector, it may find its guard conditions gone and print a traceback.
            executor.shutdown()
        rclpy.try_shutdown()
    if node is not None and node.held_up:
        # What a runtime does for nobody any more would hold up the exit.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
