// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "../interfaces/ICouncil.sol";

// The actions as the numbers that a ballot carries: a signed byte may hold anything, an enum in memory may not.
uint8 constant HALT = uint8(ICouncil.Action.HALT);
uint8 constant RESUME = uint8(ICouncil.Action.RESUME);
uint8 constant RETIRE = uint8(ICouncil.Action.RETIRE);
uint8 constant PAUSE = uint8(ICouncil.Action.PAUSE);
uint8 constant VETO = uint8(ICouncil.Action.VETO);
uint8 constant REARM = uint8(ICouncil.Action.REARM);
uint8 constant REGISTER = uint8(ICouncil.Action.REGISTER);
uint8 constant SET_OPERATOR = uint8(ICouncil.Action.SET_OPERATOR);
uint8 constant ROTATE = uint8(ICouncil.Action.ROTATE);
