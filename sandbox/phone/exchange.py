"""The exchange: places calls, lets them ring, connects them with the people behind the numbers, and ends them.

All that is due happens in `tick`, which is called every few milliseconds with the clock's time; nothing here sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable

from sandbox.people.directory import Directory, by_number, check_pattern
from sandbox.people.mouth import Mouth
from sandbox.people.person import callee
from sandbox.people.speech import Speech
from sandbox.phone import events
from sandbox.phone.call import Call, Mark, Party, State
from sandbox.phone.clock import Agenda, Clock
from sandbox.phone.courier import Courier, Mail
from sandbox.phone.faults import NONE, Faults
from sandbox.phone.line import Line
from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.register import Register
from sandbox.phone.report import audio_report
from sandbox.phone.settings import PhoneSettings
from sandbox.phone.talk import Talk
from sandbox.phone.trunk import Trunk
from shared.phone.wire import StartCall

log = logging.getLogger(__name__)

MakeLine = Callable[[str, Callable[[bytes], None], Callable[[], None]], Line]
"""Makes the audio socket of a call from its id, the receiver of its audio, and what to call at the first frame sent."""


class Exchange:
    """All calls of the phone system. Used inside one event loop."""

    def __init__(
        self,
        settings: PhoneSettings,
        directory: Directory,
        faults: Faults,
        clock: Clock,
        speech: Speech,
        courier: Courier,
        make_line: MakeLine,
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.faults = faults
        """The faults of all calls whose number has none of its own."""
        self.faults_by_number: dict[str, Faults] = {}
        """Set at runtime; goes before what the directory says."""
        self.speech = speech
        self.clock = clock
        self._courier = courier
        self._make_line = make_line
        self._agenda = Agenda()
        self.register = Register()
        self._talking: dict[str, Call] = {}
        self._trunk = Trunk()
        self._closing: set[asyncio.Task[None]] = set()
        self._open = True

    # ------------------------------------------------------------------------------------------------ calls

    def start_call(self, request: StartCall) -> Call:
        """startcall (2.1). Raises Refusal NUMBER_REFUSED, TOO_MANY_CALLS, TOO_FAST or CLOSING; then nothing rings.

        The phone system knows no repetition: the same requestId again makes another call.
        """
        self.register.ask(request.request_id)
        try:
            call = self._place(request)
        except Refusal as refusal:
            self.register.refuse(request.request_id, refusal, self.clock.wall_ms())
            raise
        self._agenda.at(call.marks[0].at + self.settings.setup, lambda: self._ring(call))
        return call

    def find(self, call_id: str) -> Call:
        """The call of this id. Raises Refusal UNKNOWN_CALL or CALL_ENDED."""
        call = self.register.find(call_id)
        if call is None:
            raise Refusal(Code.UNKNOWN_CALL, "expected the id of a call that startcall returned; no call has this one")
        if call.state == "ended":
            raise Refusal(Code.CALL_ENDED, "the call has ended; nothing more can be done to it")
        return call

    def talk(self, call_id: str) -> Talk:
        """The talk of an answered call. Raises Refusal UNKNOWN_CALL, CALL_ENDED or NOT_ANSWERED."""
        call = self.find(call_id)
        if call.talk is None:
            raise Refusal(Code.NOT_ANSWERED, f"expected an answered call (firstAnswer), this one is {call.state}")
        return call.talk

    def hang_up(self, call_id: str) -> None:
        """hangup (2.7), also while it rings. Raises Refusal UNKNOWN_CALL, CALL_ENDED or HANGUP_REFUSED."""
        call = self.find(call_id)
        if self.faults_of(call).hangup_refused:
            raise Refusal(Code.HANGUP_REFUSED, "hangup failed; the call goes on")
        self._end(call, "robot", "hangup")

    def tick(self) -> None:
        """Do all that is due."""
        now = self.clock.now()
        self._agenda.run(now)
        for call in list(self._talking.values()):
            self._advance(call, now)

    async def close(self) -> None:
        """End every call and wait for their sockets to close. No call is placed any more."""
        self._open = False
        for call in self.register.live:
            self._end(call, "phone system", "closed")
        await asyncio.gather(*self._closing)

    # ------------------------------------------------------------------------------------------------ faults

    def faults_of(self, call: Call) -> Faults:
        """The faults of a call as of now: set for its number at runtime, else by the directory, else for all."""
        faults = by_number(call.request.callee, self.faults_by_number)
        if faults is None:
            faults = call.own_faults if call.own_faults != NONE else self.faults
        return faults if call.luck < faults.share else NONE

    def set_faults(self, faults: Faults, number: str | None) -> None:
        """Set the faults of all calls, or of those to a number or pattern. Raises DirectoryError for a bad pattern."""
        if number is None:
            self.faults = faults
        else:
            self.faults_by_number[check_pattern(number)] = faults

    def clear_faults(self) -> None:
        """Everything works again, but for what the directory says."""
        self.faults = NONE
        self.faults_by_number.clear()

    # ------------------------------------------------------------------------------------------------ the way of a call

    def _place(self, request: StartCall) -> Call:
        if not self._open:
            raise Refusal(Code.CLOSING, "the phone system is closing; no call is placed any more")
        now = self.clock.now()
        self._trunk.check(request.caller, self.settings.limit_of(request.caller), now)
        name, manner, faults = self.directory.find(request.callee)
        attempt = self.register.attempt(request.callee)
        if manner.answers == "refused" and not (manner.from_attempt and attempt >= manner.from_attempt):
            raise Refusal(Code.NUMBER_REFUSED, "the number was refused; nothing rang")
        rng = random.Random(f"{self.settings.seed}:{request.callee}:{attempt}")
        call = Call(
            id=str(uuid.uuid1(node=_NODE)),
            request=request,
            manner_name=name,
            manner=manner,
            attempt=attempt,
            own_faults=faults,
            luck=rng.random(),
            rng=rng,
            mail=Mail(random.Random(rng.random())),
        )
        self._reach(call, "placed")
        self.register.place(call)
        self._trunk.begin(request.caller, now)
        return call

    def _ring(self, call: Call) -> None:
        if call.state != "placed":
            return
        mark = self._reach(call, "ringing")
        self._push(call, "firstStart", mark.wall_ms)
        call.rang.set()
        manner = call.manner
        answers = manner.answers == "yes" or (manner.from_attempt is not None and call.attempt >= manner.from_attempt)
        ring = self.settings.ring if manner.ring is None else manner.ring
        if answers and ring < self.settings.ring_limit:
            for line in manner.lines():
                self.speech.prepare(line, call.voice, lambda _: None)
            self._later(call, ring, lambda: self._answer(call))
        else:
            self._later(call, self.settings.ring_limit, lambda: self._end(call, "phone system", "no answer"))

    def _answer(self, call: Call) -> None:
        mark = self._reach(call, "answered")
        self.register.answer()
        self._push(call, "firstAnswer", mark.wall_ms)
        mouth = Mouth(call.manner.noise_dbfs, phase=call.rng.randrange(1 << 16))
        line = self._make_line(call.id, lambda pcm: self._receive(call, pcm), call.first_frame.set)
        call.line = line
        call.talk = Talk(callee(call.manner, call.rng), mouth, self.speech, call.voice, line.send, mark.at)
        self._talking[call.id] = call
        line.open()
        self._later(call, self.settings.max_call, lambda: self._end(call, "phone system", "longest talk reached"))
        faults = self.faults_of(call)
        if faults.audio_cut_after is not None:
            self._later(call, faults.audio_cut_after, lambda: line.cut(faults.audio_reopen_after))

    def _receive(self, call: Call, pcm: bytes) -> None:
        if call.talk is not None:
            call.talk.receive(pcm, self.clock.now())

    def _advance(self, call: Call, now: float) -> None:
        assert call.talk is not None, "only answered calls talk"
        hang_up = call.talk.advance(now)
        if hang_up is not None:
            self._end(call, "callee", hang_up.why)

    def _end(self, call: Call, by: Party, why: str) -> None:
        if call.state == "ended":
            return
        self._reach(call, "ended")
        call.ended_by, call.ended_why = by, why
        for appointment in call.appointments:
            appointment.cancel()
        call.appointments.clear()
        self._trunk.end(call.request.caller)
        self.register.end(call)
        faults = self.faults_of(call)
        times = call.times(_skew_ms(faults))
        self._courier.send(call.mail, events.cdr(call.id, call.request, times, call.rng), faults)
        self._put_away(call)
        call.rang.set()
        call.first_frame.set()

    def _put_away(self, call: Call) -> None:
        """Close the socket in the background, and write the talk's report."""
        self._talking.pop(call.id, None)
        if call.talk is not None:
            call.talk.finish()
        call.audio_report = audio_report(call)
        call.talk = None
        if call.line is not None:
            task = asyncio.get_running_loop().create_task(call.line.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _reach(self, call: Call, state: State) -> Mark:
        mark = Mark(state, self.clock.now(), self.clock.wall_ms())
        call.marks.append(mark)
        return mark

    def _later(self, call: Call, seconds: float, do: Callable[[], None]) -> None:
        call.appointments.append(self._agenda.at(call.marks[-1].at + seconds, do))

    def _push(self, call: Call, name: str, wall_ms: int) -> None:
        faults = self.faults_of(call)
        self._courier.send(call.mail, events.event(name, call.id, call.request, wall_ms + _skew_ms(faults)), faults)


_NODE = random.SystemRandom().getrandbits(48) | 1 << 40
"""In place of the machine's address in call ids (RFC 9562, 6.10: the multicast bit set)."""


def _skew_ms(faults: Faults) -> int:
    return int(faults.clock_skew * 1000)
