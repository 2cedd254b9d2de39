"""Run inside Blender: import one GLB, light it with a panorama, render views as linear EXR.

usage: blender -b --factory-startup -P blender_render.py -- job.json   (or a Python that has bpy)

The job holds `glb`, `panorama` (EXR, u = 0.5 looks along -z), `output` (folder), `size`, `fov` (radians),
`samples` and `cameras`: 4 x 4 matrices of glTF's frame (+y up), camera to world.
"""

import json
import math
import sys
from pathlib import Path

import bpy
from mathutils import Matrix

job = json.loads(Path(sys.argv[-1]).read_text())
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=job["glb"])
scene = bpy.context.scene

world = scene.world = bpy.data.worlds.new("sky")
world.use_nodes = True
nodes, links = world.node_tree.nodes, world.node_tree.links
picture = nodes.new("ShaderNodeTexEnvironment")
picture.image = bpy.data.images.load(job["panorama"])
turn = nodes.new("ShaderNodeMapping")
# glTF's -z is Blender's +y; the middle of Blender's panorama is +x.
turn.inputs["Rotation"].default_value = (0, 0, math.radians(-90))
coordinates = nodes.new("ShaderNodeTexCoord")
links.new(coordinates.outputs["Generated"], turn.inputs["Vector"])
links.new(turn.outputs["Vector"], picture.inputs["Vector"])
links.new(picture.outputs["Color"], nodes["Background"].inputs["Color"])

scene.render.engine = "CYCLES"
scene.cycles.device = "CPU"
scene.cycles.samples = job["samples"]
scene.cycles.use_denoising = False
scene.cycles.use_adaptive_sampling = False
scene.cycles.seed = 0
# One bounce from the surface to the sky: no interreflection, as in our shading.
scene.cycles.max_bounces = 0
scene.cycles.filter_width = 0.01
scene.render.film_transparent = True
scene.render.resolution_x = scene.render.resolution_y = job["size"]
scene.render.resolution_percentage = 100
scene.render.image_settings.file_format = "OPEN_EXR"
scene.render.image_settings.color_depth = "32"
scene.render.image_settings.color_mode = "RGBA"

camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
camera.data.angle = job["fov"]
scene.collection.objects.link(camera)
scene.camera = camera
upright = Matrix.Rotation(math.radians(90), 4, "X")
for view, rows in enumerate(job["cameras"]):
    camera.matrix_world = upright @ Matrix(rows)
    scene.render.filepath = str(Path(job["output"]) / f"{view}.exr")
    bpy.ops.render.render(write_still=True)
print("blender", bpy.app.version_string)
