# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""Each sentence of the contract has a test, and each test a sentence."""

import dataclasses
import inspect
import re
from typing import Any
import unittest

from backupkit.copy import control
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import store
from backupkit.drivers import target
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit.testing import exchange
from backupkit.testing import roundtrip
from backupkit.testing import store as store_suite
from backupkit.testing import target as target_suite
from backupkit.testing import volume as volume_suite

SUITES: list[type] = [
    store_suite.StoreSuite,
    store_suite.FullStoreSuite,
    volume_suite.VolumeDriverSuite,
    target_suite.TargetSuite,
    target_suite.MissingTargetSuite,
    roundtrip.RoundTripSuite,
    exchange.ExchangeSuite,
]

#: Sentences that no suite can test, and why.
EXEMPT = {
    'volume 4': 'that a method does not retry cannot be seen from outside',
    'VolumeDriver.check raises ConfigurationError': 'options are its own',
    'VolumeDriver.check raises SourceError': 'its storage cannot be taken',
    'Target.use_backends': 'the loader has called it before the suite',
    'Target.check raises ConfigurationError': 'options are its own',
    'Target.check raises TargetError': 'its place cannot be taken away',
}

_NUMBERED = re.compile(r'^(\d+)\. ', re.MULTILINE)
_RAISES = re.compile(r':raises errors\.(\w+):')


def _methods(driver: type) -> set[str]:
    """Return a class's methods, and the errors that they name."""
    found = set()
    for name, method in vars(driver).items():
        if name.startswith('_') or not inspect.isfunction(method):
            continue
        sentence = f'{driver.__name__}.{name}'
        found.add(sentence)
        for error in _RAISES.findall(method.__doc__ or ''):
            found.add(f'{sentence} raises {error}')
    return found


def _facts(stated: Any) -> set[str]:
    """Return the capabilities of a class of them."""
    return {
        f'{stated.__name__}.{field.name}'
        for field in dataclasses.fields(stated)
    }


def sentences() -> set[str]:
    """Return every sentence of the contract, as tests cite it."""
    found = {f'store {n}' for n in _NUMBERED.findall(store.__doc__ or '')}
    found |= {f'volume {n}' for n in _NUMBERED.findall(volume.__doc__ or '')}
    for driver in (store.Store, volume.VolumeDriver, target.Target):
        found |= _methods(driver)
    for stated in (
        capability.StoreCapabilities,
        capability.VolumeCapabilities,
        capability.TargetCapabilities,
    ):
        found |= _facts(stated)
    return found


def citations() -> dict[str, list[str]]:
    """Return what each test cites, by the test's name."""
    found = {}
    for suite in SUITES:
        for name in unittest.defaultTestLoader.getTestCaseNames(suite):
            doc = inspect.getdoc(getattr(suite, name)) or ''
            match = re.match(r'Guards: (.*?)\.(\s|$)', doc, re.DOTALL)
            cited = match.group(1) if match else ''
            found[f'{suite.__name__}.{name}'] = [
                ' '.join(one.split()) for one in cited.split(',') if one
            ]
    return found


class SentencesTest(unittest.TestCase):
    def test_sentence_when_in_contract_then_a_test_guards_it(self) -> None:
        cited = {one for ones in citations().values() for one in ones}
        self.assertEqual(set(), sentences() - cited - EXEMPT.keys())

    def test_sentence_when_exempt_then_it_is_in_the_contract(self) -> None:
        self.assertLessEqual(EXEMPT.keys(), sentences())

    def test_test_when_in_a_suite_then_cites_a_sentence(self) -> None:
        self.assertEqual(
            [], [n for n, ones in citations().items() if not ones]
        )

    def test_citation_when_given_then_is_one_of_the_contract(self) -> None:
        modules = (capability, contract, control, errors, model, store, target)
        for name, ones in citations().items():
            for one in ones:
                with self.subTest(test=name, sentence=one):
                    self.assertTrue(
                        one in sentences() or _is_there(modules, one), one
                    )


def _is_there(modules: Any, sentence: str) -> bool:
    """Tell whether a class, or what it raises or holds, is in a module."""
    path, raises, error = sentence.partition(' raises ')
    name, dot, attribute = path.partition('.')
    for module in modules:
        found = getattr(module, name, None)
        if found is None:
            continue
        if raises and not hasattr(errors, error):
            return False
        fields = (
            {f.name for f in dataclasses.fields(found)}
            if (dataclasses.is_dataclass(found))
            else set()
        )
        return not dot or attribute in fields or hasattr(found, attribute)
    return False
