"""Compiles HLSL files, compute entry point `main`, with the Slang compiler of the PyPI wheel slangpy.
Prints what it says of those that it refuses, and then exits with 1. See check-shaders."""

import ctypes
import glob
import importlib.util
import os
import re
import sys

HLSL, SPIRV, COMPUTE = 2, 6, 6  # of slang.h: SlangSourceLanguage, SlangCompileTarget, SlangStage

pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
folder = os.path.dirname(importlib.util.find_spec("slangpy").origin)
slang = ctypes.CDLL(glob.glob(folder + "/*slang-compiler*")[0])
for name, result, arguments in [
    ("spCreateSession", pointer, [text]),
    ("spCreateCompileRequest", pointer, [pointer]),
    ("spAddCodeGenTarget", number, [pointer, number]),
    ("spSetOptimizationLevel", None, [pointer, number]),
    ("spFindProfile", ctypes.c_uint, [pointer, text]),
    ("spSetTargetProfile", None, [pointer, number, ctypes.c_uint]),
    ("spAddTranslationUnit", number, [pointer, number, text]),
    ("spAddTranslationUnitSourceString", None, [pointer, number, text, text]),
    ("spAddEntryPoint", number, [pointer, number, text, number]),
    ("spCompile", number, [pointer]),
    ("spGetDiagnosticOutput", text, [pointer]),
    ("spDestroyCompileRequest", None, [pointer]),
]:
    function = getattr(slang, name)
    function.restype, function.argtypes = result, arguments
session = slang.spCreateSession(None)


def refusal(path):
    """What the compiler says of the file, if it refuses it."""
    with open(path, "rb") as file:
        source = file.read()
    # As wgpu would have it: FXC's model, unless the shader has subgroup operations or 64-bit integers.
    model = b"sm_6_2" if re.search(rb"\bWave|\buint64_t", source) else b"sm_5_1"
    request = slang.spCreateCompileRequest(session)
    target = slang.spAddCodeGenTarget(request, SPIRV)
    slang.spSetOptimizationLevel(request, 0)  # what comes out is thrown away
    slang.spSetTargetProfile(request, target, slang.spFindProfile(session, model))
    unit = slang.spAddTranslationUnit(request, HLSL, b"shader")
    slang.spAddTranslationUnitSourceString(request, unit, path.encode(), source)
    slang.spAddEntryPoint(request, unit, b"main", COMPUTE)
    code = slang.spCompile(request)
    said = (slang.spGetDiagnosticOutput(request) or b"").decode()
    slang.spDestroyCompileRequest(request)
    return None if code == 0 else said or f"refused with code {code}"


refused = 0
for path in sys.argv[1:]:
    said = refusal(path)
    if said is not None:
        refused += 1
        print(f"{os.path.basename(path)}: {said.strip()}", file=sys.stderr)
sys.exit(1 if refused else 0)
